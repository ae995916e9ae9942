import type { Endpoint } from '../directory/directory.ts';
import { Elsewhere } from './client.ts';

/** Which nodes are known to be dead. */
export interface Liveness {
  isDead(node: string): boolean;
}

/** Which node each room is at, so that all its callers meet. */
export interface RoomHolders {
  /** The node that the room of an endpoint is at; from now on this one, unless a living one has it. */
  holder(endpointId: string): Promise<string>;
}

/** @throws {Elsewhere} when the call leads to a room that is at another node */
export async function holdRoom(
  { node, rooms }: { node: string; rooms: RoomHolders },
  { id, target }: Endpoint,
): Promise<void> {
  const holder = target.kind === 'room' ? await rooms.holder(id) : node;
  if (holder !== node) throw new Elsewhere(holder);
}
