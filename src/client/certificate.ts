/**
 * The certificate of a call, known before its connection is made. Undefined where the platform makes none that can be seen
 * (React Native): the connection then has one of its own.
 */
export async function makeCertificate(): Promise<RTCCertificate | undefined> {
  const ecdsa: EcKeyGenParams = { name: 'ECDSA', namedCurve: 'P-256' };
  try {
    return await RTCPeerConnection.generateCertificate?.(ecdsa);
  } catch {
    return undefined;
  }
}

/** Whether a later connection of the call can have the certificate of the first. */
export const keepsCertificate = (own: RTCCertificate | undefined): boolean =>
  own !== undefined || typeof globalThis.RTCPeerConnection?.generateCertificate === 'function';
