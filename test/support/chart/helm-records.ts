// The Secrets in which Helm keeps its releases: written in protobuf.
import type { Tree } from './field-owners.ts';

/** Helm writes its records in protobuf, behind this prefix. */
export const PROTOBUF = Buffer.from('k8s\0');

/** A Secret of k8s.io/api/core/v1/generated.proto, with only the fields that Helm sets. */
export function secretOf(body: Buffer): Tree {
  const [raw = Buffer.alloc(0)] = fieldsOf(body.subarray(4)).get(2) ?? [];
  const secret = fieldsOf(raw);
  const metadata = fieldsOf(secret.get(1)?.[0] ?? Buffer.alloc(0));
  const entries = (fields: readonly Buffer[] = []) =>
    fields
      .map((entry) => fieldsOf(entry))
      .map((entry) => [entry.get(1)?.[0]?.toString() ?? '', entry.get(2)?.[0]] as const);
  return {
    metadata: {
      name: metadata.get(1)?.[0]?.toString(),
      labels: Object.fromEntries(entries(metadata.get(11)).map(([key, value]) => [key, value?.toString() ?? ''])),
    },
    data: Object.fromEntries(entries(secret.get(2)).map(([key, value]) => [key, value?.toString('base64') ?? ''])),
    type: secret.get(3)?.[0]?.toString(),
  };
}

/** The length-delimited fields of a message: text, bytes and messages. */
function fieldsOf(message: Buffer): ReadonlyMap<number, readonly Buffer[]> {
  const fields = new Map<number, Buffer[]>();
  let at = 0;
  const number = () => {
    let [value, shift] = [0, 0];
    for (;;) {
      const byte = message[at++] ?? 0;
      value += (byte & 127) * 2 ** shift;
      shift += 7;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = number();
    const length = number();
    if ((tag & 7) !== 2) continue;
    fields.set(tag >> 3, [...(fields.get(tag >> 3) ?? []), message.subarray(at, at + length)]);
    at += length;
  }
  return fields;
}
