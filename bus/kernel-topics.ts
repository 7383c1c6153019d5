/** Topics that say what the kernel says. Whatever a manifest declares, an endpoint that published here would speak as the kernel. */
const KERNEL_PREFIX = 'astrid.';
/** What uplinks publish there for the people behind them (ABI reference section 7). */
const UPLINK_PREFIXES: readonly string[] = [
  'astrid.v1.request.',
  'astrid.v1.elicit.response.',
  'astrid.v1.approval.response.',
];

/** Whether an endpoint may use the topic at all, before its ACL is asked. */
export function isOpenTopic(topic: string, speaksForPeople: boolean): boolean {
  if (!topic.startsWith(KERNEL_PREFIX)) return true;
  return speaksForPeople && UPLINK_PREFIXES.some((prefix) => topic.startsWith(prefix));
}
