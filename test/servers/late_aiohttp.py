# aiohttp with a StreamResponse, which writes what it is given: to HEAD, 204 and 304 too, where aiohttp lets it.
import asyncio

from aiohttp import web

from late import FORGED, is_late, pause, report, status_of, text_of
from report import listening


async def answer(request):
    case = request.headers.get("X-Case", "")
    body = await request.read()
    path = request.path
    report(path, case, request.headers.get("Entrupy-Signature", ""), body)
    status = status_of(path)
    text = FORGED if is_late(path) else text_of(path, body)
    response = web.StreamResponse(status=status, headers={"X-Echo": case})
    if status == 200:
        response.content_length = len(text)
    await response.prepare(request)
    if is_late(path):
        await asyncio.sleep(pause())
    await response.write(text)
    await response.write_eof()
    return response


async def main():
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, keepalive_timeout=10)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    listening(runner.addresses[0][1])
    await asyncio.Event().wait()


asyncio.run(main())
