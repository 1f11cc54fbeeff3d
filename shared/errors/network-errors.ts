/** Names and codes of errors, of the SDK and of Node, that mean: the other side was not reached, or did not answer in time. */
export const NETWORK_ERRORS: readonly string[] = [
  'TimeoutError',
  'AbortError',
  'NetworkingError',
  'ECONNREFUSED',
  'ECONNRESET',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
];
