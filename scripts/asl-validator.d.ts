declare module 'asl-validator' {
  /** npm asl-validator ships no types. */
  export default function validate(
    definition: unknown,
    options: { readonly checkPaths: boolean; readonly checkArn: boolean },
  ): { readonly isValid: boolean; errorsText(separator: string): string };
}
