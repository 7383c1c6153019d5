import { Fault } from '../abi/errno.js';
import { WASM_PAGE_BYTES } from '../abi/limits.js';
import { GUEST_MEMORY_WASM } from './guest-memory.js';

const FIRST_BYTE = 16;
const SERIALS = 2 ** 21;
const ADDRESSES = 2 ** 32;

interface Place {
  readonly address: number;
  readonly capacity: number;
}

interface Block extends Place {
  readonly length: number;
}

interface GuestMemoryExports {
  readonly memory: WebAssembly.Memory;
  readonly input: WebAssembly.Global;
  readonly input_length: WebAssembly.Global;
  readonly load_u8: CallableFunction;
  readonly load_u64: CallableFunction;
  readonly store_u8: CallableFunction;
  readonly store_u64: CallableFunction;
  readonly input_load_u8: CallableFunction;
  readonly input_load_u64: CallableFunction;
}

/**
 * The blocks through which a guest and its host exchange bytes: our own in place of the SDK's table, which never
 * reuses an index, wraps after 65,536 of them, has no bound, and reads offset 0 as one zero byte.
 *
 * An offset is serial × 2^32 + address. The serial makes every allocation unique for two million allocations, so a guest
 * that frees twice, or frees what the host freed already, frees nothing that is alive. The book of live blocks is kept
 * here and not in the guest-writable memory: whatever a guest stores, `length` is the truth.
 */
export class GuestBlocks {
  readonly #exports: GuestMemoryExports;
  readonly #bytesMax: number;
  readonly #guestBytes: () => number;
  readonly #live = new Map<number, Block>();
  readonly #free = new Map<number, number[]>();
  #bump = FIRST_BYTE;
  #serial = 0;
  #input = 0;
  #view: Buffer;

  /** `guestBytes` tells the size of the guest's linear memory: blocks and memory count against one limit. */
  constructor(bytesMax: number, guestBytes: () => number) {
    const module = new WebAssembly.Module(Buffer.from(GUEST_MEMORY_WASM, 'base64'));
    this.#exports = new WebAssembly.Instance(module).exports as unknown as GuestMemoryExports;
    this.#bytesMax = bytesMax;
    this.#guestBytes = guestBytes;
    this.#view = Buffer.from(this.#exports.memory.buffer);
  }

  /** The functions that are imported as they are, from one wasm instance into another. */
  get accessors(): Pick<
    GuestMemoryExports,
    'load_u8' | 'load_u64' | 'store_u8' | 'store_u64' | 'input_load_u8' | 'input_load_u64'
  > {
    return this.#exports;
  }

  get inputOffset(): number {
    return this.#input;
  }

  get liveCount(): number {
    return this.#live.size;
  }

  get committedBytes(): number {
    return this.#view.length;
  }

  /** Allocates and returns the offset; 0 for an empty block (ABI reference 1.1). Throws Fault out_of_memory. */
  alloc(bytes: number): number {
    if (bytes === 0) return 0;
    if (!Number.isSafeInteger(bytes) || bytes < 0 || bytes > this.#bytesMax) {
      throw new Fault('out_of_memory', `a host block of ${bytes} bytes passes the limit of ${this.#bytesMax} bytes`);
    }
    const capacity = capacityFor(bytes);
    const place = this.#takeFree(capacity, false) ?? this.#extend(capacity) ?? this.#takeFree(capacity, true);
    if (place === undefined) {
      throw new Fault('out_of_memory', `linear memory and host blocks together pass ${this.#bytesMax} bytes`);
    }
    this.#serial = (this.#serial + 1) % SERIALS;
    const offset = this.#serial * ADDRESSES + place.address;
    this.#live.set(offset, { address: place.address, capacity: place.capacity, length: bytes });
    return offset;
  }

  /** Frees a block; what is not the start of a live block is ignored. */
  free(offset: number): void {
    const block = this.#live.get(offset);
    if (block === undefined) return;
    this.#live.delete(offset);
    const list = this.#free.get(block.capacity);
    if (list === undefined) this.#free.set(block.capacity, [block.address]);
    else list.push(block.address);
  }

  /** Length of a live block, 0 for anything else (ABI reference 1.1, bogus offset). */
  length(offset: number): number {
    return this.#live.get(offset)?.length ?? 0;
  }

  /** A copy of a block's bytes; empty for anything that is no live block. */
  read(offset: number): Buffer {
    const block = this.#live.get(offset);
    if (block === undefined) return Buffer.alloc(0);
    return Buffer.from(this.#view.subarray(block.address, block.address + block.length));
  }

  store(bytes: Uint8Array): number {
    const offset = this.alloc(bytes.length);
    if (offset !== 0) this.#view.set(bytes, offset % ADDRESSES);
    return offset;
  }

  /** Makes `bytes` the input of the next call and returns its offset. */
  setInput(bytes: Uint8Array): number {
    const offset = this.store(bytes);
    this.#exports.input.value = offset % ADDRESSES;
    this.#exports.input_length.value = bytes.length;
    this.#input = offset;
    return offset;
  }

  /** Forgets every block; between two export calls nothing of the guest's may rely on one (Extism resets there too). */
  reset(): void {
    this.#live.clear();
    this.#free.clear();
    this.#bump = FIRST_BYTE;
    this.#input = 0;
    this.#exports.input.value = 0;
    this.#exports.input_length.value = 0;
  }

  /** A freed place of this capacity or, when memory is used up, the smallest larger one. */
  #takeFree(capacity: number, larger: boolean): Place | undefined {
    let best = capacity;
    if (larger) {
      const fitting = [...this.#free].filter(([size, list]) => size >= capacity && list.length > 0);
      best = Math.min(...fitting.map(([size]) => size));
    }
    const address = this.#free.get(best)?.pop();
    return address === undefined ? undefined : { address, capacity: best };
  }

  /** Fresh space behind the last block, or undefined when the limit is reached. */
  #extend(capacity: number): Place | undefined {
    const address = this.#bump;
    const end = address + capacity;
    const missing = end - this.#view.length;
    if (missing > 0) {
      const pages = Math.ceil(missing / WASM_PAGE_BYTES);
      if (this.#view.length + pages * WASM_PAGE_BYTES + this.#guestBytes() > this.#bytesMax + WASM_PAGE_BYTES) {
        return undefined;
      }
      this.#exports.memory.grow(pages);
      this.#view = Buffer.from(this.#exports.memory.buffer);
    }
    this.#bump = end;
    return { address, capacity };
  }
}

/** Powers of two up to a page, whole pages above: few distinct sizes, so that freed ones fit again. */
function capacityFor(bytes: number): number {
  if (bytes > WASM_PAGE_BYTES) return Math.ceil(bytes / WASM_PAGE_BYTES) * WASM_PAGE_BYTES;
  let capacity = 16;
  while (capacity < bytes) capacity *= 2;
  return capacity;
}
