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
