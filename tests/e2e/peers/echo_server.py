"""python-websockets as a server that echoes; prints its address and how each client left.

    echo_server.py [deflate]
"""
import asyncio
import sys

import websockets


async def echo(ws, path):
    try:
        async for message in ws:
            await ws.send(message)
    finally:
        names = ",".join(e.name for e in ws.extensions) or "none"
        print(f"{path} left with {ws.close_code}, extensions: {names}", flush=True)


async def main():
    compression = "deflate" if "deflate" in sys.argv else None
    async with websockets.serve(echo, "127.0.0.1", 0, compression=compression) as server:
        port = server.sockets[0].getsockname()[1]
        print(f"listening on ws://127.0.0.1:{port}", flush=True)
        await asyncio.Future()


asyncio.run(main())
