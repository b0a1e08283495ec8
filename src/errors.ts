/**
 * A mistake of the person at the keyboard, or in a file they gave us.
 * The message is one Spanish sentence that names the file or flag, says what was
 * expected and what to do; the command line prints it alone and exits with 1.
 * What a sentence quotes from a file stays in its line: it has no power over the terminal.
 */
export class UserError extends Error {
  override name = 'UserError';

  constructor(message: string) {
    super(shortened(message.replaceAll(/\s*\p{Cc}+\s*/gu, ' ')));
  }
}

/** A name or a shape in a damaged file may be endless; beginning and end of the sentence tell what is the matter. */
function shortened(message: string): string {
  return message.length <= 1000 ? message : `${message.slice(0, 700)}…${message.slice(-299)}`;
}
