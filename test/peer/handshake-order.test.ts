import { expect, it } from 'vitest';
import { HandshakeOrder } from '../../src/peer/handshake-order.ts';

const message = (message_seq: number, msg_type = 11) => ({ message_seq, msg_type });

it('hands over handshake messages in their order and once, whatever was lost and came again', () => {
  const order = new HandshakeOrder();
  const take = (...messages: { message_seq: number; msg_type: number }[]) =>
    order.take(messages).map(({ message_seq }) => message_seq);
  expect(take(message(0, 1))).toEqual([0]);
  expect(take(message(0, 1))).toEqual([0]);
  expect(take(message(1, 1))).toEqual([1]);
  expect(take(message(2), message(3, 16))).toEqual([2, 3]);
  expect(take(message(5, 20))).toEqual([]);
  expect(take(message(2), message(3, 16), message(4, 15))).toEqual([4, 5]);
  expect(take(message(4, 15), message(5, 20))).toEqual([5]);
});
