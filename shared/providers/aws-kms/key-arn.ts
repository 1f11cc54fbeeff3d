/**
 * The full name of a KMS key. A bare id means another key in another account or region, and an alias can be moved:
 * neither is ever recorded or accepted. D/kms/latest/developerguide/concepts.html#key-id-key-ARN
 */
export const KMS_KEY_ARN = /^arn:aws(-[a-z]+)*:kms:([a-z0-9-]+):[0-9]{12}:key\/[A-Za-z0-9-]+$/;

export function isKeyArn(text: string): boolean {
  return KMS_KEY_ARN.test(text);
}

/** The region in an ARN, such as `eu-central-1`; the ARN is one that isKeyArn accepts. */
export function regionOf(keyArn: string): string {
  return KMS_KEY_ARN.exec(keyArn)?.[2] ?? '';
}
