import asyncio, sys, time, traceback
from tests.faults.steps import *
from tests.faults.steps import rst, cut
from tests.faults.exchange import On
from tests.faults import dialects
from tests.faults.dialects import DIALECTS, CALL, BY_ANSWER, OF_ONE_STREAM
from tests.faults.meeting import *
ROWS = {
 "reset before read": [drop],
 "closed before read": [close],
 "ran, reset": [run, drop],
 "500": [status("500 No", b"no")], "500 after": [run, status("500 No")],
 "503 ra": [status("503 No", retry_after="1")],
 "429": [status("429 No", retry_after="1")],
 "404": [status("404 Not Found")],
 "413": [status("413 Too Large")],
 "401": [status("401 No")], "403": [status("403 No")],
 "400": [status("400 No", b"bad")],
 "html": [run, status("200 OK", b"<html>", content_type="text/html")],
 "204": [run, b"HTTP/1.1 204 No Content\r\n\r\n"],
 "nohttp": [run, b"SSH-2.0\r\n", close],
 "json cut": [run, b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{", close],
 "pings": [run, accept, pings],
 "silence": [run, accept, silence],
 "silent post": [run, silence],
 "half rst": [run, accept, half, rst],
 "half cut": [run, accept, half, cut],
 "accept rst": [run, accept, rst],
 "answer rst": [run, accept, answer, rst],
 "twice": [run, accept, answer, answer, end],
 "end without": [run, accept, end],
 "late": [run, accept, until_cancelled, answer, end],
 "drip": [run, accept, drip, end],
 "redirect": [status("307 Moved", location="http://127.0.0.1:1/x")],
 "expire": [expire],
 "restart": [restart], "ran restart": [run, restart], "accept restart": [run, accept, restart],
}
async def main():
    for name, script in ROWS.items():
        if len(sys.argv)>1 and name not in sys.argv[1:]: continue
        for d in DIALECTS:
            t=time.monotonic()
            try:
                m = await meet(d, On(CALL,*script))
                print(f"{name:12} {d:7} {time.monotonic()-t:.2f} code={m.played.ended.code} {[ (e.outcome, e.is_error) for e in m.ends]} ex={dict(m.server.ledger.executed)} :: {m.told[:200]!r}", flush=True)
            except BaseException as e:
                print(f"{name:12} {d:7} {time.monotonic()-t:.2f} FAIL {type(e).__name__} {e} {traceback.format_exc()[-900:]}", flush=True)
asyncio.run(main())
