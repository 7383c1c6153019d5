import { type CallContext, decodeDecimal, EMPTY, type SyscallHandler } from './handler.js';

/** The kernel's uplink socket and the clients a capsule took from it (ABI reference 2.6). */
export interface NetService {
  bind(): Promise<void>;
  accept(context: CallContext): Promise<number>;
  pollAccept(context: CallContext): Promise<number | null>;
  /** Status byte and payload: 0 data, 1 closed, 2 pending. */
  read(stream: number, context: CallContext): Promise<Buffer>;
  write(stream: number, body: Buffer, context: CallContext): Promise<void>;
  close(stream: number, context: CallContext): void;
}

interface StreamRequest {
  readonly stream: number;
}

const SOCKET = 'unix:uplink.sock';
const byStream: Pick<SyscallHandler<StreamRequest>, 'decode' | 'resource'> = {
  decode: ([stream]) => ({ stream: decodeDecimal(stream, 'stream') }),
  resource: ({ stream }) => `stream:${stream}`,
};
/** The path and the listener handle choose nothing: there is one socket, and it is the kernel's. */
const listens: Pick<SyscallHandler<null>, 'decode' | 'resource'> = { decode: () => null, resource: () => SOCKET };

export function makeNetHandlers(net: NetService) {
  const write: SyscallHandler<StreamRequest & { readonly body: Buffer }> = {
    decode: ([stream, body]) => ({ stream: decodeDecimal(stream, 'stream'), body: body ?? EMPTY }),
    resource: byStream.resource,
    run: async ({ stream, body }, context) => {
      await net.write(stream, body, context);
      return EMPTY;
    },
  };
  return {
    astrid_net_bind_unix: {
      ...listens,
      // The original's answer reaches the guest as an empty handle.
      run: async () => {
        await net.bind();
        return EMPTY;
      },
    } satisfies SyscallHandler<null>,
    astrid_net_accept: {
      ...listens,
      run: async (_, context) => Buffer.from(String(await net.accept(context))),
    } satisfies SyscallHandler<null>,
    astrid_net_poll_accept: {
      ...listens,
      run: async (_, context) => {
        const handle = await net.pollAccept(context);
        return handle === null ? EMPTY : Buffer.from(String(handle));
      },
    } satisfies SyscallHandler<null>,
    astrid_net_read: {
      ...byStream,
      run: ({ stream }, context) => net.read(stream, context),
    } satisfies SyscallHandler<StreamRequest>,
    astrid_net_write: write,
    astrid_net_close_stream: {
      ...byStream,
      run: ({ stream }, context) => {
        net.close(stream, context);
        return EMPTY;
      },
    } satisfies SyscallHandler<StreamRequest>,
  };
}
