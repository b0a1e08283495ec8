import { Parameter } from '../model/weights.ts';

/**
 * Early stopping (Prechelt, 1998, "Early stopping - but when?"): a run that looks at validation examples now and then
 * ends once several looks in a row have found nothing better, and goes back to the best parameters.
 */
export class EarlyStopping {
  /** Copies of the parameters at the best look so far, for a checkpoint to keep: `best.<name>`. */
  readonly best: readonly Parameter[];
  private lowest = Infinity;
  private waited = 0;

  /** @param patience looks without a lower loss before the end */
  constructor(private readonly parameters: readonly Parameter[], private readonly patience: number) {
    this.best = parameters.map(({ name, values, shape }) => new Parameter(`best.${name}`, values.slice(), shape));
  }

  /** Hears a look's loss. @param resumed whether it was told before a checkpoint, which has kept the parameters */
  look(loss: number, resumed = false): void {
    if (!(loss < this.lowest)) {
      this.waited++;
      return;
    }
    [this.lowest, this.waited] = [loss, 0];
    if (!resumed) copy(this.parameters, this.best);
  }

  get isOver(): boolean {
    return this.waited >= this.patience;
  }

  /** Puts the best parameters back. */
  restore(): void {
    copy(this.best, this.parameters);
  }
}

function copy(from: readonly Parameter[], to: readonly Parameter[]): void {
  to.forEach((parameter, i) => parameter.assign(from[i]!.values));
}
