// The reason phrases of our own answers (RFC 9110 15). node's table of them belongs to node:http, whose loading costs 35 ms
// of start and 15 MiB.
const PHRASES: Readonly<Record<number, string>> = {
  200: 'OK',
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Content Too Large',
  431: 'Request Header Fields Too Large',
  500: 'Internal Server Error',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

export function phraseOf(status: number): string {
  return PHRASES[status] ?? '';
}
