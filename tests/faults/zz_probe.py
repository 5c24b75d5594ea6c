import asyncio
import sys
import time
import traceback

from tests.faults.dialects import CALL
from tests.faults.exchange import On
from tests.faults.meeting import meet
from tests.faults.rows import ROWS


async def main():
    for name, row in ROWS.items():
        if len(sys.argv) > 1 and not any(w in name for w in sys.argv[1:]):
            continue
        for d in row.dialects:
            t = time.monotonic()
            try:
                m = await meet(d, On(CALL, *row.script), argv=row.argv, env=row.env)
                print(
                    f"{name:12} {d:7} {time.monotonic() - t:.2f} code={m.played.ended.code} {[(e.outcome, e.is_error) for e in m.ends]} ex={dict(m.server.ledger.executed)} :: {m.told[:300]!r}",
                    flush=True,
                )
            except BaseException as e:
                print(
                    f"{name:12} {d:7} {time.monotonic() - t:.2f} FAIL {type(e).__name__} {e} {traceback.format_exc()[-900:]}",
                    flush=True,
                )


asyncio.run(main())
