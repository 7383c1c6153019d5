import { Fault } from '../../abi/errno.js';

/**
 * What went wrong with a connection, in words without an address or a path. Our own Faults pass as they are, also from inside a
 * library that carried one as a cause.
 */
const TEXTS: readonly (readonly [RegExp, string])[] = [
  [/^(ENOTFOUND|EAI_|ENODATA|ESERVFAIL)/, 'the host name has no address'],
  [/^ECONNREFUSED$/, 'the connection was refused'],
  [/^(ECONNRESET|EPIPE|UND_ERR_SOCKET)$/, 'the connection was closed by the other side'],
  [/^(ENETUNREACH|EHOSTUNREACH|EADDRNOTAVAIL|ETIMEDOUT)$/, 'the host cannot be reached'],
  [/CERT|SELF_SIGNED|UNABLE_TO_|^ERR_TLS/, 'the certificate of the host is not valid'],
  [/^(EPROTO|ERR_SSL)/, 'the host does not speak TLS'],
  [/^(HPE_|UND_ERR_RES|UND_ERR_INFO)/, 'the answer is not HTTP'],
];

export function networkFault(thrown: unknown): Fault {
  if (thrown instanceof Fault) return thrown;
  const { code, cause } = (thrown ?? {}) as { code?: unknown; cause?: unknown };
  if (cause instanceof Fault) return cause;
  const name = typeof code === 'string' ? code : '';
  if (name === 'UND_ERR_HEADERS_OVERFLOW' || name === 'HPE_HEADER_OVERFLOW') {
    return new Fault('too_large', 'the headers of the response are too large', { cause: thrown });
  }
  const text = TEXTS.find(([pattern]) => pattern.test(name))?.[1] ?? 'the request failed';
  return new Fault('io_error', text, { cause: thrown });
}

/** The other side let go of a connection that had been idle; nothing of an answer was seen. */
export function isStaleConnection(thrown: unknown): boolean {
  const { code } = (thrown ?? {}) as { code?: unknown };
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code === 'EPIPE';
}
