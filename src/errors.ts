/**
 * A mistake of the person at the keyboard, or in a file they gave us.
 * The message is one Spanish sentence that names the file or flag, says what was
 * expected and what to do; the command line prints it alone and exits with 1.
 */
export class UserError extends Error {
  override name = 'UserError';
}
