/** What a terminal would take for a command is shown as a sign. */
export const printable = (text: string): string => text.replace(/\p{C}/gu, '\uFFFD');
