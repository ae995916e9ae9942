import type { WantedMedia } from '../protocol/messages.ts';

/** What a node needs to begin a session again that another one held. */
export interface Resume {
  /** What the client wants of each kind. */
  media: WantedMedia;
  /** Whether the client can follow an offer on a new connection. */
  fresh: boolean;
  /** Public id: the others in a room see it. */
  participant: string;
  /** The certificate of the client, as `sha-256 AA:BB:…`, when the token is bound to one or an answer has shown it. */
  fingerprint?: string;
}

/** As the store keeps it with the record. */
export const writeResume = (resume: Resume): string => JSON.stringify(resume);

export const readResume = (text: string): Resume => JSON.parse(text) as Resume;
