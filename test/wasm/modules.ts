import wabt from 'wabt';

/** Compiles a text module; features that Node 20 lacks are on too, since the reader must see and refuse them. */
export async function compileWat(
  text: string,
  options: { readonly canonical?: boolean } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const toolkit = await wabt();
  const module = toolkit.parseWat('test.wat', text, {
    threads: true,
    memory64: true,
    reference_types: true,
    simd: true,
  });
  try {
    const { buffer } = module.toBinary({ canonicalize_lebs: options.canonical ?? true });
    return new Uint8Array(buffer);
  } finally {
    module.destroy();
  }
}

export const HEADER = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00] as const;

export function u32(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low + 128 : low);
  } while (rest > 0);
  return bytes;
}

export function name(text: string): number[] {
  const bytes = [...Buffer.from(text)];
  return [...u32(bytes.length), ...bytes];
}

/** A section with its true size. */
export function section(id: number, ...content: readonly (readonly number[])[]): number[] {
  const bytes = content.flat();
  return [id, ...u32(bytes.length), ...bytes];
}

export function moduleOf(...sections: readonly (readonly number[])[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from([...HEADER, ...sections.flat()]);
}

/** `() -> i32`, the type of every entry point. */
export const TYPE_SECTION = section(1, [1, 0x60, 0, 1, 0x7f]);
