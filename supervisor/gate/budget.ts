import { Fault } from '../../abi/errno.js';
import { type Layer, PASS } from './types.js';

/**
 * The place of budgets in the pipeline. While none is configured, the layer has nothing to object. A configuration
 * with a budget stops the boot: it would promise a limit that nothing keeps.
 */
export function makeBudgetLayer(budget: { readonly configured: boolean }): Layer {
  if (budget.configured) {
    const message = '[budget]: budgets are not served yet; take the section out to start without';
    throw new Fault('bad_config', message, { field: 'budget' });
  }
  return { name: 'budget', judge: () => PASS };
}
