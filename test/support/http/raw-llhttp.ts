// undici's build of llhttp without src/wire around it, for tests of the traps that src/wire avoids.
import bytesOfModule from 'undici/lib/llhttp/llhttp-wasm.js';

/** Added to the declarations that src/wire needs. */
declare global {
  namespace WebAssembly.Module {
    function imports(module: Module): readonly { readonly module: string; readonly name: string }[];
    function exports(module: Module): readonly { readonly name: string }[];
  }
}

export const MODULE = new WebAssembly.Module(bytesOfModule);

export type Callback = 'begin' | 'url' | 'status' | 'name' | 'value' | 'head' | 'body' | 'complete';

const IMPORTS: Readonly<Record<string, Callback>> = {
  wasm_on_message_begin: 'begin',
  wasm_on_url: 'url',
  wasm_on_status: 'status',
  wasm_on_header_field: 'name',
  wasm_on_header_value: 'value',
  wasm_on_headers_complete: 'head',
  wasm_on_body: 'body',
  wasm_on_message_complete: 'complete',
};

interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer };
  _initialize(): void;
  malloc(bytes: number): number;
  llhttp_alloc(type: number): number;
  llhttp_free(parser: number): void;
  llhttp_reset(parser: number): void;
  llhttp_execute(parser: number, at: number, length: number): number;
  llhttp_finish(parser: number): number;
  llhttp_resume(parser: number): void;
  llhttp_get_error_pos(parser: number): number;
  llhttp_should_keep_alive(parser: number): number;
}

/** A new instance, whose callbacks return 0 unless `returns` says otherwise. */
export function rawLlhttp(returns: Partial<Record<Callback, (parser: number) => number>> = {}) {
  const called: Callback[] = [];
  const env = Object.fromEntries(
    Object.entries(IMPORTS).map(([name, callback]) => [
      name,
      (parser: number) => {
        called.push(callback);
        return returns[callback]?.(parser) ?? 0;
      },
    ]),
  );
  const exports = new WebAssembly.Instance(MODULE, { env }).exports as Exports;
  exports._initialize();
  const scratch = exports.malloc(64 * 1024);
  return {
    exports,
    /** The callbacks that were called, in order. */
    called,
    /** The result of `llhttp_execute` for the text, and how many bytes it consumed. */
    execute(parser: number, text: string): [result: number, consumed: number] {
      new Uint8Array(exports.memory.buffer).set(Buffer.from(text, 'latin1'), scratch);
      const result = exports.llhttp_execute(parser, scratch, text.length);
      return [result, result === 0 ? text.length : exports.llhttp_get_error_pos(parser) - scratch];
    },
  };
}
