/** Longest frame that is not an answer, in bytes. */
export const MAX_FRAME_BYTES = 16 * 1024;

/** Longest answer to an offer of that many sections, in bytes. */
export const maxAnswerBytes = (sections: number): number => MAX_FRAME_BYTES + sections * 2048;

/** Longest content of a message between client and application, in bytes of JSON. */
const MAX_CONTENT_BYTES = 4096;

/** Whether the content of a message is short enough. */
export const fitsContent = (content: unknown): boolean =>
  new TextEncoder().encode(JSON.stringify(content) ?? '').length <= MAX_CONTENT_BYTES;
