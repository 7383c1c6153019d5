import * as env from 'astrid/sdk/env';

/** Configuration keys of ABI reference 5.5. A value that is no number falls back to the default. */
export interface Settings {
  readonly model: string;
  readonly providerTopic: string;
  readonly sessionTimeoutMs: number;
  readonly streamingTimeoutMs: number;
  readonly toolTimeoutMs: number;
  readonly iterationsMax: number;
}

export function readSettings(): Settings {
  return {
    model: env.get('model', ''),
    providerTopic: env.get('llm_provider_topic', ''),
    sessionTimeoutMs: readNumber('session_timeout_ms', 2000),
    streamingTimeoutMs: readNumber('streaming_timeout_secs', 120) * 1000,
    // Longer than the 5 minutes that a person has to approve: an open question is not a stuck tool.
    toolTimeoutMs: readNumber('tool_timeout_secs', 330) * 1000,
    iterationsMax: readNumber('max_iterations', 25),
  };
}

function readNumber(name: string, fallback: number): number {
  const value = Number(env.get(name, String(fallback)));
  return Number.isFinite(value) && value > 0 ? value : fallback;
}
