import { UserError } from '../errors.ts';

/** The loss, or its gradient, stopped being a number. */
export class Diverged extends UserError {
  override name = 'Diverged';

  /**
   * @param when Spanish: «en el paso 3»
   * @param left Spanish: what becomes of the run, and what is left of it
   */
  constructor(when: string, left: string) {
    super(`La pérdida dejó de ser un número ${when}: ${left}. Prueba con --learning-rate más bajo.`);
  }
}
