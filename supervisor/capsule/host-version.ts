/** The version that `astrid-version` in a manifest is compared with: the original's (ABI reference 6.5, step 9). */
export const HOST_VERSION = '0.5.1';
