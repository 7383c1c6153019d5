/**
 * Every bound of the system, with the unit in its name. Source: design sections 3 and 4, ABI reference 1.6.
 * `checkLimits` states how they must relate; a test calls it.
 */
const KIB = 1024;
const MIB = 1024 * KIB;

/** One page of a guest's linear memory (core specification 2.0, section 4.2.8). */
export const WASM_PAGE_BYTES = 64 * KIB;

export const LIMITS = {
  // frames
  workerFrameBytesMax: 12 * MIB,
  controlFrameBytesMax: 50 * MIB,
  auditFrameBytesMax: 2 * MIB,
  moduleBytesMax: 32 * MIB,
  // the structure of one frame: 12 MiB of empty arrays or of one-byte keys cost far more than 12 MiB of text
  /** Arrays and maps inside each other. Deeper ones would end in a stack overflow in some reader. */
  frameDepthMax: 64,
  /** Values in one frame, counted at the array and map headers, before memory is taken for them. */
  frameValuesMax: 2 ** 21,
  /** Map members in one frame; an object with more is slower to build than a syscall may take. */
  frameMembersMax: 2 ** 17,
  // arguments of host calls (ABI reference 1.6)
  payloadBytesMax: 10 * MIB,
  pathBytesMax: 4096,
  keyBytesMax: 4096,
  kvValueBytesMax: 1 * MIB,
  logLevelBytesMax: 64,
  logMessageBytesMax: 64 * KIB,
  topicBytesMax: 256,
  topicSegmentsGuestMax: 8,
  topicSegmentsMax: 20,
  ipcPayloadBytesMax: 5 * MIB,
  handleBytesMax: 32,
  streamHandleBytesMax: 1024,
  uplinkFieldBytesMax: 512,
  uplinkContentBytesMax: 1 * MIB,
  triggerBytesMax: 1 * MIB,
  /** One answer to a hook, and all answers to it together: the caller gets them in one piece. */
  hookAnswerBytesMax: 1 * MIB,
  hookAnswersBytesMax: 8 * MIB,
  capabilityCheckBytesMax: 1024,
  processRequestBytesMax: 256,
  // approval text (ABI reference 2.10)
  approvalActionCharsMax: 256,
  approvalResourceCharsMax: 1024,
  approvalRiskCharsMax: 64,
  // router
  publishBytesPerSecondMax: 10 * MIB,
  subscriptionQueueBytesMax: 1 * MIB,
  /** What all queues of one endpoint hold of the kernel's memory, once parsed. */
  endpointHeldBytesMax: 64 * MIB,
  subscriptionsPerCapsuleMax: 128,
  autoSubscriptionsMax: 64,
  envelopeBytesMax: 10 * MIB,
  invocationQueueMax: 256,
  invocationQueueBytesMax: 32 * MIB,
  interceptorPriorityDefault: 100,
  // one capsule instance
  memoryPagesDefault: 1024,
  hostBlockBytesMax: 64 * MIB,
  processMemoryAllowanceBytes: 192 * MIB,
  openFilesMax: 64,
  coreBytesMax: 0,
  logLinesKeptPerCapsule: 1000,
  logCharsKeptPerCapsule: 1 * MIB,
  // the supervisor's own log: what a guest can make it say must not fill a disk
  ownLogLinesMax: 256,
  ownLogWindowMs: 10_000,
  ownLogLineCharsMax: 64 * KIB,
  /** The file is then kept aside, in place of the one before it. */
  ownLogBytesMax: 8 * MIB,
  // questions at install, secrets, configuration
  elicitWaitMs: 120_000,
  elicitOptionsMax: 256,
  elicitTextCharsMax: 4096,
  elicitAnswerBytesMax: 64 * KIB,
  elicitAnswerItemsMax: 1024,
  elicitOpenMax: 16,
  lifecycleWallMs: 15 * 60_000,
  secretBytesMax: 64 * KIB,
  secretsPerCapsuleMax: 128,
  secretFileBytesMax: 16 * MIB,
  envValueBytesMax: 64 * KIB,
  envFileBytesMax: 1 * MIB,
  // timers
  cronTimersPerCapsuleMax: 32,
  cronNameBytesMax: 128,
  cronScheduleBytesMax: 256,
  cronPayloadBytesMax: 64 * KIB,
  cronPeriodMsMin: 60_000,
  cronLateMs: 60_000,
  cronWakeMsMax: 30_000,
  cronClockBackMs: 24 * 60 * 60_000,
  cronChangesPerMinuteMax: 60,
  // storage
  storageBytesPerPrincipalMax: 1024 * MIB,
  openOverlayFilesMax: 64,
  /**
   * Sessions, and principals, whose directories are held open while nobody uses them: seven and two descriptors each. Anybody
   * can open one session after the other, and the service has 4,096 descriptors or fewer.
   */
  sessionFilesOpenMax: 32,
  principalFilesOpenMax: 32,
  // walks, the overlay and what is shown of it
  /** Longest name of one component: NAME_MAX of every file system we can meet (limits.h). */
  fileNameBytesMax: 255,
  /** Deepest path. A guest could otherwise nest 2,000 directories in 4,096 bytes and make every tree walk quadratic. */
  pathSegmentsMax: 128,
  /** Most symbolic links followed in one walk (path_resolution(7): the kernel's own number). */
  pathLinksMax: 40,
  /** Directories with more entries than this are refused rather than collected in memory. */
  directoryEntriesMax: 100_000,
  /** Most changes in one answer; the records of a session are bounded alike. */
  overlayChangesMax: 200_000,
  /** Most changed paths of one session, and most bytes that their records take; both are held in memory. */
  overlayRecordsMax: 100_000,
  /** A log is rewritten when it has this many lines more than it needs; a guest that writes and deletes cannot fill it. */
  overlayStaleLinesMax: 4096,
  overlayRecordBytesMax: 128 * MIB,
  /** Content up to this size is hashed when its file is first changed; above it, the times and the inode must do. */
  overlayHashedBytesMax: 10 * MIB,
  overlaySkippedShownMax: 100,
  /** Text of all diffs of one answer: it must fit a control frame with room to spare. Rows after that have none. */
  diffBytesMax: 16 * MIB,
  /** Text above this size is not diffed. */
  diffTextBytesMax: 1 * MIB,
  /**
   * Bounds of the search for a shortest diff: lines of one text, and lines that differ. Its cost grows with the square of
   * the second: two unrelated texts of a megabyte would stop the supervisor for minutes.
   */
  diffSearchLinesMax: 20_000,
  diffEditsMax: 500,
  previewLinesMax: 40,
  previewLineCharsMax: 200,
  /** A guest decides when a preview is made, so its work is bounded more tightly than that of a diff. */
  previewTextBytesMax: 256 * KIB,
  // gate
  /**
   * A resource this long may have been cut on its way (the audit keeps as much). Path rules refuse it and no session
   * allowance is kept for it: two resources could look the same.
   */
  gateResourceCharsMax: 1024,
  globCharsMax: 1024,
  /** Owners remembered; past it the oldest windows go, which are over or about to be. */
  approvalAskersMax: 4096,
  /** Unanswered questions of one capsule for one principal: more are refused, or a person could not find the real one. */
  approvalsOpenPerCapsuleMax: 16,
  approvalsOpenMax: 1024,
  /** Questions that one capsule may put to a person in one minute. */
  approvalAsksPerMinuteMax: 120,
  approvalsSettledKept: 1000,
  /** A queued question that nobody answered is void after this. */
  approvalQueuedMsMax: 7 * 24 * 3_600_000,
  /** An answer of `once` that nobody used, or a `deny` that nobody heard, is void after this. */
  approvalAnsweredMsMax: 24 * 3_600_000,
  /** How far the clock may step back before records count as being from the future. */
  approvalClockSlackMs: 5 * 60_000,
  // the way to the auditor
  /** Entries of class `before` that one capsule may cause: no entry of these is summarised, and each is synced. */
  auditEntriesPerSecondMax: 200,
  auditEntriesBurstMax: 2000,
  auditAppendBytesMax: 1 * MIB,
  /** One is being synced, others wait at the auditor, and the rest collects here into larger ones. */
  auditFramesInFlightMax: 4,
  auditOutboxBytesMax: 8 * MIB,
  auditAckWaitMs: 10_000,
  auditRetryMs: 100,
  auditRetryMsMax: 5_000,
  auditCloseWaitMs: 2_000,
  /**
   * Directories that one capsule may read from before it has to wait, and how many more in each second after: the log names each of
   * them, so their number is what bounds it. Most source trees have fewer than the first of the two, and then nothing waits.
   */
  auditReadPlacesBurst: 4096,
  auditReadPlacesPerSecond: 128,
  // http (ABI reference 2.5)
  httpUrlCharsMax: 16 * KIB,
  httpHeadersMax: 100,
  httpHeaderBytesMax: 64 * KIB,
  httpBodyBytesMax: 10 * MIB,
  httpReplyBytesMax: 32 * MIB,
  httpChunkBytesMax: 256 * KIB,
  httpRedirectsMax: 10,
  httpStreamsMax: 4,
  httpIdleConnectionsMax: 4,
  httpAddressesMax: 64,
  httpRequestMs: 30_000,
  httpConnectMs: 30_000,
  httpChunkWaitMs: 120_000,
  httpIdleConnectionMs: 4_000,
  // packages of capsules: what is fetched, what an archive may hold
  manifestBytesMax: 256 * KIB,
  sourceCharsMax: 1024,
  archiveBytesMax: 40 * MIB,
  archiveUnpackedBytesMax: 48 * MIB,
  archiveEntriesMax: 1000,
  archiveNameBytesMax: 255,
  /** Unpacked bytes per packed byte, once `archiveRatioFreeBytes` have come out. */
  archiveRatioMax: 100,
  archiveRatioFreeBytes: 1 * MIB,
  fetchWaitMs: 120_000,
  fetchIdleMs: 20_000,
  fetchRedirectsMax: 5,
  controlRequestBytesMax: 34 * MIB,
  // what a client of the control socket that follows something and does not read may make the kernel hold
  controlUnsentEventsMax: 10_000,
  controlUnsentBytesMax: 64 * MIB,
  // commands (ABI reference 2.9)
  processCaptureBytesMax: 2 * MIB,
  processRingBytesMax: 1 * MIB,
  processOutputBytesPerSecondMax: 64 * MIB,
  processCommandBytesMax: 128 * KIB,
  processesPerInstanceMax: 8,
  processTasksMax: 256,
  processOpenFilesMax: 1024,
  processCpuSecondsMax: 3600,
  processDataBytesMax: 4096 * MIB,
  processFileBytesMax: 1024 * MIB,
  processTmpBytesMax: 256 * MIB,
  processDiskReserveBytes: 256 * MIB,
  processDiskSampleMs: 1_000,
  processHiddenPathsMax: 256,
  processHiddenSearchMax: 500_000,
  processCancelGraceMs: 2_000,
  processEndWaitMs: 5_000,
  // time
  invocationWallMs: 5 * 60_000,
  readyWaitMs: 5_000,
  loadWaitMs: 20_000,
  killGraceMs: 2_000,
  unloadGraceMs: 3_000,
  ipcRecvWaitMsMax: 60_000,
  approvalRequestWaitMs: 60_000,
  gateApprovalWaitMs: 5 * 60_000,
  handshakeWaitMs: 5_000,
  watchdogTickMs: 5_000,
  runLoopWatchdogMs: 120_000,
  rssSampleMs: 500,
  // uplinks and identities (ABI reference 1.7, 2.3, 2.6, 2.7, 7); the bounds without a number there are ours
  uplinkStreamsPerCapsuleMax: 8,
  uplinkHandshakeBytesMax: 4096,
  uplinkHandshakesMax: 64,
  uplinkClientsWaitingMax: 32,
  uplinkAcceptWaitMs: 30_000,
  uplinkPollWaitMs: 10,
  uplinkHeaderWaitMs: 50,
  uplinkBodyWaitMs: 5_000,
  uplinkWriteWaitMs: 30_000,
  uplinksPerCapsuleMax: 32,
  uplinkIdReadBytesMax: 128,
  uplinkIdBytesMax: 64,
  uplinkQueueMax: 128,
  uplinkQueueBytesMax: 8 * MIB,
  identityFieldBytesMax: 512,
  identityUsersPerPrincipalMax: 1000,
  identityLinksPerUserMax: 64,
  // restart (design section 9)
  restartIntensity: 5,
  restartWindowMs: 60_000,
  restartBackoffMs: 1_000,
  restartBackoffMsMax: 120_000,
} as const;

/** Relations that must hold between bounds; each failure would be an unreachable or unsafe limit. */
export function checkLimits(limits: typeof LIMITS = LIMITS): string[] {
  const broken: string[] = [];
  const need = (ok: boolean, why: string) => {
    if (!ok) broken.push(why);
  };
  need(
    limits.ipcPayloadBytesMax * 4 < limits.controlFrameBytesMax,
    'a message as a list of numbers must fit a frame to a worker',
  );
  need(limits.payloadBytesMax + 64 * KIB < limits.workerFrameBytesMax, 'the largest argument must fit a worker frame');
  need(limits.envelopeBytesMax < limits.workerFrameBytesMax, 'a full envelope must fit a worker frame');
  need(limits.ipcPayloadBytesMax < limits.publishBytesPerSecondMax, 'one message must pass the rate window');
  need(limits.ipcPayloadBytesMax < limits.payloadBytesMax, 'a message must be a legal argument');
  need(limits.uplinkContentBytesMax < limits.uplinkQueueBytesMax, 'what one person says must fit the queue');
  need(limits.moduleBytesMax < limits.controlFrameBytesMax, 'a module must fit a control frame');
  need(
    limits.moduleBytesMax + limits.manifestBytesMax + 64 * KIB < limits.controlRequestBytesMax,
    'a module and its manifest must fit one request of an uplink',
  );
  need(limits.controlFrameBytesMax < limits.controlUnsentBytesMax, 'one event must not end a stream that is read');
  need(limits.controlRequestBytesMax < limits.controlFrameBytesMax, 'a request must be a legal frame');
  need(
    limits.moduleBytesMax + limits.manifestBytesMax < limits.archiveUnpackedBytesMax,
    'the largest capsule must fit an archive',
  );
  need(limits.hookAnswerBytesMax <= limits.hookAnswersBytesMax, 'one answer must fit what all may take');
  need(2 * limits.hookAnswersBytesMax < limits.controlFrameBytesMax, 'all answers must fit a frame to a worker');
  need(limits.autoSubscriptionsMax < limits.subscriptionsPerCapsuleMax, 'automatic handles must leave room');
  need(limits.httpReplyBytesMax < limits.controlFrameBytesMax, 'a response must fit a frame to a worker');
  need(limits.httpReplyBytesMax < limits.hostBlockBytesMax, 'a response must fit the memory of a guest');
  need(limits.httpChunkBytesMax < limits.workerFrameBytesMax, 'a chunk must fit a frame');
  need(
    2 * 6 * Math.max(limits.processCaptureBytesMax, limits.processRingBytesMax) < limits.controlFrameBytesMax,
    'two streams of output, every byte escaped, must fit a frame to a worker',
  );
  need(limits.auditEntriesPerSecondMax <= limits.auditEntriesBurstMax, 'a second of entries must be had at once');
  need(limits.restartBackoffMs < limits.restartBackoffMsMax, 'backoff must be able to grow');
  need(
    limits.secretsPerCapsuleMax * (limits.secretBytesMax + limits.keyBytesMax) * 1.5 < limits.secretFileBytesMax,
    'all secrets of a capsule must fit their file',
  );
  need(limits.cronWakeMsMax < limits.cronLateMs, 'a timer must be looked at before it counts as late');
  return broken;
}
