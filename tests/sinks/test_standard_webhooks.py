"""The form of a message, and its signature."""

from sinks.standard_webhooks import Message, headers, read_secret


def test_the_signature_is_that_of_the_published_example() -> None:
    """The example in the documentation of Svix, whose scheme became Standard Webhooks."""
    message = Message("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')
    key = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert headers(message, 1614265330, key) == {
        "content-type": "application/json",
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }
