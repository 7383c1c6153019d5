import { asFault, Fault } from '../abi/errno.js';
import type { AbiGeneration } from '../abi/manifest.js';
import type { SyscallRow } from '../abi/syscalls/row.js';
import { SYSCALLS } from '../abi/table.js';
import type { GuestBlocks } from './guest-blocks.js';
import type { LocalHandler } from './local-calls.js';
import { checkArgumentSizes, checkPrefixText, encodeResult } from './results.js';
import type { SyscallClient, SyscallResult } from './syscall-client.js';

export type HostFunction = (...offsets: bigint[]) => bigint | undefined;

interface ImportParts {
  readonly blocks: GuestBlocks;
  readonly client: SyscallClient;
  readonly local: Readonly<Record<string, LocalHandler>>;
  readonly generation: AbiGeneration;
}

/**
 * The functions of `extism:host/user`, made from the syscall table: no call has glue of its own.
 *
 * Block lifetime: argument blocks are given back after reading and result blocks at the next host call, or a run loop
 * (which never returns to a reset) would leak until its limit.
 */
export function makeSyscallImports(parts: ImportParts): Record<string, HostFunction> {
  const imports: Record<string, HostFunction> = {};
  let lastResult = 0;
  for (const call of SYSCALLS) {
    const returnsBlock = call.returns !== 'void' || parts.generation === 3;
    imports[call.name] = (...offsets) => {
      parts.blocks.free(lastResult);
      lastResult = 0;
      const bytes = encodeResult(call, parts.generation, answer(parts, call, offsets.map(Number)));
      if (!returnsBlock) return undefined;
      lastResult = parts.blocks.store(bytes);
      return BigInt(lastResult);
    };
  }
  return imports;
}

function answer(parts: ImportParts, call: SyscallRow, offsets: readonly number[]): SyscallResult {
  const { blocks } = parts;
  // Sizes before bytes: a guest cannot make the host copy what it is going to refuse.
  const tooLarge = checkArgumentSizes(
    call,
    offsets.map((offset) => blocks.length(offset)),
  );
  const args = tooLarge === null ? offsets.map((offset) => blocks.read(offset)) : [];
  for (const offset of offsets) blocks.free(offset);
  const refused = tooLarge ?? checkPrefixText(call, args);
  if (refused !== null) return { ok: false, fault: refused };
  if (call.path === 'supervisor') return parts.client.call(call.number, args);
  const handler = parts.local[call.name];
  if (handler === undefined) return { ok: false, fault: new Fault('not_served', `${call.name} is not served yet`) };
  try {
    return { ok: true, value: handler(args) };
  } catch (error) {
    return { ok: false, fault: asFault(error) };
  }
}
