/** Hunspell in JavaScript, which declares no types: what we use of it. */
declare module 'nspell' {
  export default function nspell(dictionary: { readonly aff: Uint8Array; readonly dic: Uint8Array }): {
    correct(word: string): boolean;
  };
}
