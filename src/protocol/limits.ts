/** Longest frame that is not an answer, in bytes. */
export const MAX_FRAME_BYTES = 16 * 1024;

/** Longest answer to an offer of that many sections, in bytes. */
export const maxAnswerBytes = (sections: number): number => MAX_FRAME_BYTES + sections * 2048;
