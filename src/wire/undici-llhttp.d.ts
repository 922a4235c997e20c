// undici ships no types for the WebAssembly build of llhttp, and node's types have none for WebAssembly.
declare module 'undici/lib/llhttp/llhttp-wasm.js' {
  const bytes: Uint8Array<ArrayBuffer>;
  export default bytes;
}

declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array<ArrayBuffer>);
  }
  class Instance {
    constructor(
      module: Module,
      imports: Readonly<Record<string, Readonly<Record<string, (...numbers: number[]) => number>>>>,
    );
    readonly exports: object;
  }
}
