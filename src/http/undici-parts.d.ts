// undici ships types for its front door alone; one client imported by itself saves 12 MB of idle memory and 30 ms of start.
declare module 'undici/lib/dispatcher/client.js' {
  import { Client } from 'undici';
  export default Client;
}

declare module 'undici/lib/core/connect.js' {
  import type { Socket } from 'node:net';
  import { buildConnector } from 'undici';
  /** It gives the socket too, before it is connected. */
  export type Connector = (...args: Parameters<buildConnector.connector>) => Socket;
  export default function build(options: buildConnector.BuildOptions): Connector;
}
