"""Settings of authorization."""

from typing import Annotated, Literal

from config.fields.marks import ACCESS, SECONDS, Fields, Secret, TunedText, same
from config.flags import Flag, Variable
from config.options import OAuthFlow, OAuthOptions


class AccessFields(Fields):
    """How servers that want authorization get it."""

    oauth_flow: Annotated[OAuthFlow, Flag(ACCESS, "FLOW")] = same(OAuthOptions, "flow")
    oauth_client_id: Annotated[str, Flag(ACCESS, "ID")] = same(OAuthOptions, "client_id")
    oauth_issuer: Annotated[str, Flag(ACCESS, "URL")] = same(OAuthOptions, "issuer")
    oauth_scope: Annotated[str, Flag(ACCESS, "'SCOPE …'")] = same(OAuthOptions, "scope")
    oauth_client_metadata_url: Annotated[str, Flag(ACCESS, "URL")] = same(
        OAuthOptions, "client_metadata_url"
    )
    oauth_private_key_file: Annotated[str, Flag(ACCESS, "FILE")] = same(
        OAuthOptions, "private_key_file"
    )
    oauth_redirect_port: Annotated[int, Flag(ACCESS, "PORT")] = same(OAuthOptions, "redirect_port")
    oauth_timeout: Annotated[float, Flag(ACCESS, SECONDS)] = same(OAuthOptions, "timeout")
    no_browser: Annotated[bool, Flag(ACCESS)] = same(OAuthOptions, "no_browser")
    dpop: Annotated[Literal["auto", "always", "never"], Flag(ACCESS, "WHEN")] = same(
        OAuthOptions, "dpop"
    )
    token_store: Annotated[
        Literal["auto", "keyring", "file", "none"], Flag(ACCESS, "auto|keyring|file|none")
    ] = same(OAuthOptions, "token_store")
    token_file: Annotated[str, Flag(ACCESS, "PATH")] = same(OAuthOptions, "token_file")

    oauth_client_secret: Secret = same(OAuthOptions, "client_secret")
    oauth_private_key_alg: TunedText = same(OAuthOptions, "private_key_alg")
    oauth_workload_jwt: Secret = same(OAuthOptions, "workload_jwt")
    oauth_workload_jwt_file: TunedText = same(OAuthOptions, "workload_jwt_file")
    oauth_idp_issuer: TunedText = same(OAuthOptions, "idp_issuer")
    oauth_idp_token_endpoint: TunedText = same(OAuthOptions, "idp_token_endpoint")
    oauth_idp_client_id: TunedText = same(OAuthOptions, "idp_client_id")
    oauth_idp_client_secret: Secret = same(OAuthOptions, "idp_client_secret")
    oauth_idp_id_token: Secret = same(OAuthOptions, "idp_id_token")
    oauth_browser: Annotated[str, Variable("BROWSER")] = same(OAuthOptions, "browser")
    oauth_state_home: Annotated[str, Variable("XDG_STATE_HOME")] = same(OAuthOptions, "state_home")

    @property
    def oauth(self) -> OAuthOptions:
        """How servers that want authorization get it."""
        told = {
            name: getattr(self, name if name in type(self).model_fields else f"oauth_{name}")
            for name in OAuthOptions.model_fields
        }
        return OAuthOptions(**told)
