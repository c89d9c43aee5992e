import asyncio

import aiohttp._http_parser
import aiohttp.http_parser
from aiohttp.base_protocol import BaseProtocol

assert aiohttp.http_parser.HttpRequestParser is aiohttp._http_parser.HttpRequestParser, "the slow one is used"


async def parse() -> None:
    loop = asyncio.get_running_loop()
    parser = aiohttp.http_parser.HttpRequestParser(BaseProtocol(loop), loop, 2**16)
    ((message, _),), _, _ = parser.feed_data(b"GET /path?q=1 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert (message.method, message.path, message.headers["Host"]) == ("GET", "/path?q=1", "a")


asyncio.run(parse())
