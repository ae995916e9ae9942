export interface TeamOptions {
  /** Lines of the endpoints list. */
  endpoints: string;
  /** SHA-256 of the one API key, hex. */
  sha256: string;
  flowState?: 'live' | 'paused' | 'archived' | undefined;
  webrtc?: boolean | undefined;
}

/** A tenants file with one team, which may do everything. */
export const tenantsFile = ({ endpoints, sha256, flowState = 'live', webrtc = true }: TeamOptions): string => `
teams:
  - id: team_a
    features: { webrtc: ${webrtc} }
    mint_rate: { limit: 1000000, window_seconds: 60 }
    api_keys:
      - { id: backend, sha256: ${sha256}, scopes: [CREATE_CALL_TOKEN, READ_CALL_TOKEN] }
    flows:
      - { id: flow_a, state: ${flowState} }
    endpoints:${endpoints}
`;
