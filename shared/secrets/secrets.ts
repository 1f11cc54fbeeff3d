/** The port to where passwords are kept. A secret is read when it is needed, and again when it may have been rotated. */
export interface Secrets {
  /**
   * The secret's text, not older than `maxAgeSeconds`. Throws SECRET_NOT_FOUND, SECRET_DENIED or SECRET_UNAVAILABLE
   * (retryable).
   */
  read(secretId: string, maxAgeSeconds: number): Promise<string>;
}
