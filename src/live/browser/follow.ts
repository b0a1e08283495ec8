import { button } from './dom.ts';
import { currentSlide, onSlide, slides } from './slides.ts';

/** A window of the presenter's: the slide that it turns to is where the others go. */
export class Leader {
  /** The slide on show, from when the server is there. */
  private slide: number | undefined;

  constructor(private readonly tell: (slide: number) => void) {
    onSlide(() => {
      if (this.slide !== undefined && this.slide !== currentSlide()) tell(this.slide = currentSlide());
    });
  }

  /** Called as it meets a server, with what that knows: the first window there tells where it is. */
  set(slide: number | undefined): void {
    this.slide ??= currentSlide();
    if (slide === undefined) this.tell(this.slide);
  }
}

/**
 * A window that only looks, as on a telephone: it shows the presenter's slide until whoever looks turns to another, and
 * again once they are back, by themselves or at a button.
 */
export class Follower {
  private slide: number | undefined;
  private follows = true;
  private readonly back = button('vivo-volver', 'Volver a la charla', 'Va a la diapositiva que se está presentando, y la sigue', () => this.go());

  constructor() {
    this.back.hidden = true;
    this.back.style.cssText = 'position:fixed;right:2vw;top:2vh;z-index:9;padding:0.6em 1em;border:2px solid #56b4e9;'
      + 'border-radius:0.5em;background:#0e1117;color:#ffffff;font:700 max(16px,1.4vw)/1.2 sans-serif;cursor:pointer';
    document.body.append(this.back);
    onSlide(() => this.look());
  }

  set(slide: number | undefined): void {
    if (slide === this.slide) return;
    this.slide = slide;
    if (this.follows) this.go();
    else this.look();
  }

  private go(): void {
    // In the place of the one before in the browser's history: «back» goes where its owner was before the talk.
    if (this.slide !== undefined && this.slide < slides().length) location.replace(`#${this.slide + 1}`);
  }

  private look(): void {
    this.follows = this.slide === undefined || this.slide === currentSlide();
    this.back.hidden = this.follows;
  }
}
