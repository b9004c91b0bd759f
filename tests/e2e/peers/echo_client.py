"""python-websockets as a client: sends what it is told to a server and wants it back.

    echo_client.py URL [deflate|no-takeover|window]
"""
import asyncio
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory as Deflate

OFFERS = {
    "plain": None,
    "deflate": [Deflate(client_max_window_bits=True)],
    "no-takeover": [Deflate(server_no_context_takeover=True, client_no_context_takeover=True)],
    "window": [Deflate(server_max_window_bits=10, client_max_window_bits=10)],
}
MESSAGES = ["", "hello", "aé€𐍈" * 1000, "x" * 65535, b"", bytes(range(256)) * 300, "the same",
            "the same", "the same"]


async def main(url, offer):
    async with websockets.connect(url, compression=None, extensions=OFFERS[offer],
                                  max_size=1 << 22) as ws:
        for message in MESSAGES:
            await ws.send(message)
            assert await ws.recv() == message, message[:40]
        fragments = ["one ", "", "two ", "three"]
        await ws.send(fragments)
        assert await ws.recv() == "".join(fragments)
        await asyncio.wait_for(await ws.ping(b"are you there"), 5)
        names = [e.name for e in ws.extensions]
    assert ws.close_code == 1000, ws.close_code
    print("extensions:", ",".join(names) or "none")


asyncio.run(main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "plain"))
