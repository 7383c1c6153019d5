import { LIMITS } from '../../../abi/limits.js';
import { type CallProfile, casesOf, fault, json, okJson, okText, padded } from '../case.js';

const ask = { action: 'deploy', resource: 'production', risk_level: 'high' };
const answered = okJson('approved and decision', (value) => {
  const { approved, decision } = value as Record<string, unknown>;
  return typeof approved === 'boolean' && typeof decision === 'string';
});
const approved = okJson('approved', (value) => (value as { approved: unknown }).approved === true);
const { approvalResourceCharsMax: resourceMax, approvalRiskCharsMax: riskMax } = LIMITS;
const bad = (field: string) => fault('invalid_argument', new RegExp(field));

export const APPROVAL: readonly CallProfile[] = [
  {
    call: 'astrid_request_approval',
    good: approved,
    params: [
      {
        valid: json(ask),
        empty: bad('request'),
        notUtf8: bad('request'),
        edge: {
          arg: padded('{"action":"a","resource":"', '","risk_level":"low"}', LIMITS.payloadBytesMax),
          want: answered,
        },
      },
    ],
    cases: casesOf('astrid_request_approval', [
      {
        name: 'while the capsule is stopped, no',
        args: [json(ask)],
        want: okText('{"approved":false,"decision":"deny"}'),
        guarded: true,
        unloadsAt: 'answer to request_approval',
      },
      { name: 'no action', args: [json({ ...ask, action: undefined })], want: bad('action') },
      { name: 'no resource', args: [json({ ...ask, resource: undefined })], want: bad('resource') },
      { name: 'no risk level', args: [json({ ...ask, risk_level: undefined })], want: bad('risk_level') },
      { name: 'a resource that is no text', args: [json({ ...ask, resource: {} })], want: bad('resource') },
      {
        name: 'an action of 256 characters',
        args: [json({ ...ask, action: 'a'.repeat(256) })],
        want: answered,
        kind: 'limit',
      },
      {
        name: 'an action of 257 characters',
        args: [json({ ...ask, action: 'a'.repeat(257) })],
        want: fault('too_large', /action/),
        kind: 'limit',
      },
      ...[0, 1].flatMap((more) => [
        {
          name: `a resource of ${resourceMax + more} characters${more === 0 ? '' : ', which is cut'}`,
          args: [json({ ...ask, resource: 'r'.repeat(resourceMax + more) })],
          want: approved,
          kind: 'limit' as const,
        },
        {
          name: `a risk level of ${riskMax + more} characters${more === 0 ? '' : ', which is cut'}`,
          args: [json({ ...ask, risk_level: 'h'.repeat(riskMax + more) })],
          want: approved,
          kind: 'limit' as const,
        },
      ]),
      {
        name: 'a resource that is cut inside a character',
        args: [json({ ...ask, resource: `${'r'.repeat(resourceMax - 1)}\u{1f600}` })],
        want: approved,
        kind: 'hostile',
      },
      { name: 'any capsule may ask', args: [json(ask)], role: 'bare', want: answered, kind: 'capability' },
      {
        name: 'escape sequences in the text',
        args: [json({ ...ask, action: 'deploy\u001b[2Jx' })],
        want: answered,
        kind: 'hostile',
      },
    ]),
  },
];
