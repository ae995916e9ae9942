import { hash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { ApiKey, Directory } from '../directory/directory.ts';
import { CallgateError } from '../errors.ts';

const KEY_ID = /^[a-z0-9-]{1,64}$/;
/** RFC 6750 section 2.1 (b64token); the id holds no underscore, so the first one after it ends it. */
const API_KEY = /^cgk_([a-z0-9-]{1,64})_[A-Za-z0-9._~+/-]{1,256}=*$/;
/** Compared with when there is no such key, so that an unknown id takes as long as a wrong secret. */
const NO_KEY = Buffer.alloc(32);

/**
 * Makes an API key with 256 random bits. Only `sha256` (hex, of the whole key) is to be kept.
 * @throws TypeError when the id is not 1 to 64 of a-z, 0-9 and -
 */
export function createApiKey(id: string): { key: string; sha256: string } {
  if (!KEY_ID.test(id)) throw new TypeError('a key id is 1 to 64 of a-z, 0-9 and -');
  const key = `cgk_${id}_${randomBytes(32).toString('base64url')}`;
  return { key, sha256: hash('sha256', key, 'hex') };
}

/** Whether a text has the form of an API key. */
export const isApiKey = (key: string): boolean => API_KEY.test(key);

const API_KEYS = /cgk_[a-z0-9][^\s'",]*/gi;

/** A text for people, with whatever looks like an API key in it cut short: it may repeat what somebody typed in a wrong place. */
export const withoutApiKeys = (text: string): string => text.replace(API_KEYS, 'cgk_…');

/**
 * The API key of an `Authorization` header.
 * @throws {CallgateError} `api_key_missing` without bearer credentials, `api_key_invalid` for any that are not a key
 */
export function authenticate(directory: Directory, authorization: string | undefined): ApiKey {
  const key = /^Bearer +(\S.*)$/i.exec(authorization ?? '')?.[1]?.trimEnd();
  if (key === undefined) throw new CallgateError('api_key_missing');
  const known = directory.apiKey(API_KEY.exec(key)?.[1] ?? '');
  const isRight = timingSafeEqual(hash('sha256', key, 'buffer'), known?.sha256 ?? NO_KEY);
  if (!known || !isRight) throw new CallgateError('api_key_invalid');
  return known;
}
