/**
 * Bounds on the structure of one frame. The byte size alone does not protect the receiver: 12 MiB of empty
 * arrays or of one-byte keys cost far more memory and time than 12 MiB of text.
 */
export const FRAME_SHAPE = {
  /** Arrays and maps inside each other. Deeper ones would end in a stack overflow in some reader. */
  depthMax: 64,
  /** Values in one frame, counted at the array and map headers, before memory is taken for them. */
  valuesMax: 2 ** 21,
  /** Map members in one frame; an object with more is slower to build than a syscall may take. */
  membersMax: 2 ** 17,
} as const;
