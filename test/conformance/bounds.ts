import { LIMITS } from '../../abi/limits.js';

type Limit = keyof typeof LIMITS;

/** Bounds of a call beside the sizes of its arguments: what is bounded, and the limit that holds it. */
export const CALL_BOUNDS: Readonly<Record<string, readonly (readonly [what: string, limit: Limit])[]>> = {
  astrid_fs_readdir: [['entries of a directory', 'directoryEntriesMax']],
  astrid_write_file: [['all files of a principal', 'storageBytesPerPrincipalMax']],
  astrid_ipc_publish: [
    ['one message', 'ipcPayloadBytesMax'],
    ['of a capsule and principal in a second', 'publishBytesPerSecondMax'],
  ],
  astrid_ipc_subscribe: [
    ['subscriptions of an instance', 'subscriptionsPerCapsuleMax'],
    ['segments of a pattern', 'topicSegmentsGuestMax'],
  ],
  astrid_ipc_poll: [['one envelope', 'envelopeBytesMax']],
  astrid_ipc_recv: [
    ['one envelope', 'envelopeBytesMax'],
    ['the wait', 'ipcRecvWaitMsMax'],
  ],
  astrid_uplink_register: [['uplinks of a capsule', 'uplinksPerCapsuleMax']],
  astrid_uplink_send: [
    ['messages that wait', 'uplinkQueueMax'],
    ['their size together', 'uplinkQueueBytesMax'],
  ],
  astrid_kv_set: [
    ['a value', 'kvValueBytesMax'],
    ['all values of a principal', 'storageBytesPerPrincipalMax'],
  ],
  astrid_http_request: [
    ['the URL, in characters', 'httpUrlCharsMax'],
    ['headers', 'httpHeadersMax'],
    ['their size together', 'httpHeaderBytesMax'],
    ['a body, either way', 'httpBodyBytesMax'],
    ['the response as JSON', 'httpReplyBytesMax'],
    ['redirects', 'httpRedirectsMax'],
    ['the whole of it', 'httpRequestMs'],
  ],
  astrid_http_stream_start: [
    ['open streams of an instance', 'httpStreamsMax'],
    ['redirects', 'httpRedirectsMax'],
    ['until it is connected', 'httpConnectMs'],
    ['until the headers are there', 'httpChunkWaitMs'],
  ],
  astrid_http_stream_read: [
    ['one piece', 'httpChunkBytesMax'],
    ['the wait for it', 'httpChunkWaitMs'],
  ],
  astrid_net_accept: [['open streams of a capsule', 'uplinkStreamsPerCapsuleMax']],
  astrid_net_poll_accept: [['the wait', 'uplinkPollWaitMs']],
  astrid_net_read: [
    ['the wait for a frame', 'uplinkHeaderWaitMs'],
    ['the wait for its body', 'uplinkBodyWaitMs'],
  ],
  astrid_net_write: [['the wait for a client that does not read', 'uplinkWriteWaitMs']],
  astrid_identity_create_user: [['people of a principal', 'identityUsersPerPrincipalMax']],
  astrid_identity_link: [
    ['accounts of a person', 'identityLinksPerUserMax'],
    ['a field', 'identityFieldBytesMax'],
  ],
  astrid_elicit: [
    ['characters of a text', 'elicitTextCharsMax'],
    ['options', 'elicitOptionsMax'],
    ['open questions, of all capsules', 'elicitOpenMax'],
    ['the wait', 'elicitWaitMs'],
  ],
  astrid_spawn_host: [
    ['the command line', 'processCommandBytesMax'],
    ['the output', 'processCaptureBytesMax'],
    ['processes and threads of it', 'processTasksMax'],
  ],
  astrid_spawn_background_host: [
    ['commands of an instance', 'processesPerInstanceMax'],
    ['the command line', 'processCommandBytesMax'],
  ],
  astrid_read_process_logs_host: [['output that is kept, of each stream', 'processRingBytesMax']],
  astrid_request_approval: [['the wait', 'approvalRequestWaitMs']],
  astrid_cron_schedule: [
    ['timers of a capsule and principal', 'cronTimersPerCapsuleMax'],
    ['changes of them in a minute', 'cronChangesPerMinuteMax'],
    ['from one time to the next, at least', 'cronPeriodMsMin'],
  ],
};

/** A limit as a reader says it: by its name it is a time, a size or a count. */
export function formatLimit(name: Limit): string {
  const value = LIMITS[name];
  if (/Ms(Max|Min)?$/.test(name)) return value >= 1000 ? `${value / 1000} s` : `${value} ms`;
  return /Bytes/.test(name) ? formatBytes(value) : value.toLocaleString('en');
}

export function formatBytes(bytes: number): string {
  if (bytes % 2 ** 20 === 0) return `${(bytes / 2 ** 20).toLocaleString('en')} MiB`;
  return bytes % 2 ** 10 === 0 ? `${bytes / 2 ** 10} KiB` : `${bytes} B`;
}
