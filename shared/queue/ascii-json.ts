/**
 * Record keys hold what people type, and SQS takes no message with U+FFFE or U+FFFF. Its characters:
 * D/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html
 */
export function asciiJson(value: unknown): string {
  return JSON.stringify(value).replaceAll(
    /[^ -~]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
