import { Fault } from '../../abi/errno.js';
import { LIMITS } from '../../abi/limits.js';
import { hostCovered } from '../host-names.js';
import { decodeHttpRequest, type HttpRequest, previewOf, resourceOf } from '../http/request.js';
import type { HttpCaller } from '../http/service.js';
import { staysAt } from '../http/target.js';
import { type CallContext, decodeDecimal, decodeJson, EMPTY, encodeJson, type SyscallHandler } from './handler.js';

/** Requests over the network, each under the instance that makes it. */
export interface WebService {
  /** Refuses what no decision could let through. Throws Fault `policy_denied`. */
  admit(request: HttpRequest): void;
  request(request: HttpRequest, caller: HttpCaller): Promise<object>;
  openStream(request: HttpRequest, caller: HttpCaller): Promise<object>;
  readStream(handle: number, caller: HttpCaller): Promise<Buffer>;
  closeStream(handle: number, caller: HttpCaller): void;
}

interface StreamRequest {
  readonly handle: number;
}

function covers({ target }: HttpRequest, { manifest }: CallContext): boolean {
  const grants = manifest.capabilities.net;
  return Array.isArray(grants) && hostCovered(grants, target.hostname);
}

/**
 * Each redirect is judged as a request to where it leads. To another place it also has an entry in the log before it happens, and
 * where a person would have to be asked it is not followed: the guest gets the redirect and can ask for the place itself.
 */
function callerOf(context: CallContext): HttpCaller {
  return {
    sourceId: context.sourceId,
    cancel: context.cancel,
    mayFollow: (from, to) => {
      if (!staysAt(from.target, to.target)) return context.follow(resourceOf(to), covers(to, context));
      context.recheck(resourceOf(to), covers(to, context));
      return true;
    },
  };
}

/** The call is listed in `ps` with the host it waits for. */
async function waiting<T>(context: CallContext, what: string, work: () => Promise<T>): Promise<T> {
  context.setWaiting(what);
  try {
    return await work();
  } finally {
    context.setWaiting('');
  }
}

function encodeReply(value: object): Buffer {
  const reply = encodeJson(value);
  if (reply.length <= LIMITS.httpReplyBytesMax) return reply;
  throw new Fault('too_large', `the response is larger than ${LIMITS.httpReplyBytesMax} bytes as JSON`);
}

export function makeHttpHandlers(web: WebService) {
  const starter = (
    send: (request: HttpRequest, caller: HttpCaller) => Promise<object>,
  ): SyscallHandler<HttpRequest> => ({
    decode: ([request]) => decodeHttpRequest(decodeJson(request, 'request')),
    resource: resourceOf,
    covers,
    admit: (request) => web.admit(request),
    preview: async (request) => previewOf(request),
    run: (request, context) =>
      waiting(context, `http ${request.target.hostname}`, async () =>
        encodeReply(await send(request, callerOf(context))),
      ),
  });
  const byHandle: Pick<SyscallHandler<StreamRequest>, 'decode' | 'resource'> = {
    decode: ([stream]) => ({ handle: decodeDecimal(stream, 'stream') }),
    resource: ({ handle }) => `http-stream:${handle}`,
  };
  return {
    astrid_http_request: starter((request, caller) => web.request(request, caller)),
    astrid_http_stream_start: starter((request, caller) => web.openStream(request, caller)),
    astrid_http_stream_read: {
      ...byHandle,
      run: ({ handle }, context) =>
        waiting(context, `http stream ${handle}`, () => web.readStream(handle, callerOf(context))),
    } satisfies SyscallHandler<StreamRequest>,
    astrid_http_stream_close: {
      ...byHandle,
      run: ({ handle }, context) => {
        web.closeStream(handle, callerOf(context));
        return EMPTY;
      },
    } satisfies SyscallHandler<StreamRequest>,
  };
}
