import './realm.js';
import { asFault, Fault } from '../abi/errno.js';
import { LIMITS } from '../abi/limits.js';
import { FROM_WORKER, type LoadRequest, TO_WORKER, WORKER_DESCRIPTORS } from '../abi/worker-protocol.js';
import { closeInheritedFiles } from '../bus/inherited-files.js';
import { CapsuleHost } from './capsule-host.js';
import { Channel } from './channel.js';
import { isClockFrame, setGuestClock } from './guest-clock.js';
import { SyscallClient } from './syscall-client.js';

/** One process, one capsule: load it, then serve one export call after another until the channel closes. */
async function serve(channel: Channel): Promise<void> {
  const client = new SyscallClient(channel);
  const host = await load(channel, client);
  if (host === null) return;
  channel.write([FROM_WORKER.loaded, host.report]);
  for (;;) {
    const frame = channel.read();
    if (isClockFrame(frame)) {
      setGuestClock(frame);
      continue;
    }
    if (!Array.isArray(frame) || frame[0] !== TO_WORKER.invoke) throw new Fault('bad_frame', 'expected an invocation');
    const [, id, name, input, callerJson] = frame as [number, number, string, Buffer, string | null];
    const result = host.invoke(name, input, callerJson);
    if (result.kind === 'done') channel.write([FROM_WORKER.done, id, result.returnCode, result.output, result.error]);
    else channel.write([FROM_WORKER.trapped, id, result.fault.code, result.fault.message]);
  }
}

async function load(channel: Channel, client: SyscallClient): Promise<CapsuleHost | null> {
  const frame = channel.read();
  if (!Array.isArray(frame) || frame[0] !== TO_WORKER.load) throw new Fault('bad_frame', 'expected a module to load');
  try {
    return await CapsuleHost.load(frame[1] as LoadRequest, client);
  } catch (error) {
    const fault = asFault(error);
    channel.write([FROM_WORKER.loadFailed, fault.code, fault.message]);
    return null;
  }
}

try {
  closeInheritedFiles(Math.max(...Object.values(WORKER_DESCRIPTORS)));
  await serve(new Channel(WORKER_DESCRIPTORS, LIMITS.controlFrameBytesMax));
  process.exit(0);
} catch (error) {
  const fault = asFault(error);
  // A closed channel is how the supervisor ends a worker; anything else is worth a line on stderr, which it keeps.
  if (fault.code === 'connection_closed') process.exit(0);
  process.stderr.write(`worker: ${fault.code}: ${fault.message}\n`);
  process.exit(70);
}
