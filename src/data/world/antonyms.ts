import { fact, rows } from './fact.ts';
import type { Fact } from './fact.ts';

// No word stands in two pairs, so that each has one opposite; words of the prompt and of the
// questions (entrada, respuesta, más, después) are left out.
const ADJECTIVES = `
  alto/bajo largo/corto grande/pequeño gordo/flaco ancho/estrecho caliente/frío rápido/lento fuerte/débil
  nuevo/viejo joven/anciano rico/pobre limpio/sucio lleno/vacío duro/blando seco/mojado claro/oscuro
  fácil/difícil alegre/triste bueno/malo bonito/feo caro/barato abierto/cerrado verdadero/falso
  posible/imposible útil/inútil visible/invisible justo/injusto legal/ilegal paciente/impaciente
  puro/impuro perfecto/imperfecto completo/incompleto correcto/incorrecto seguro/inseguro cómodo/incómodo
  activo/inactivo sencillo/complicado valiente/cobarde generoso/tacaño simpático/antipático listo/tonto
  sabio/ignorante grueso/fino liso/rugoso recto/curvo pesado/ligero profundo/superficial cercano/lejano
  público/privado moderno/antiguo natural/artificial exterior/interior superior/inferior derecho/izquierdo
  vivo/muerto sano/enfermo despierto/dormido tranquilo/nervioso ruidoso/silencioso optimista/pesimista
  positivo/negativo máximo/mínimo anterior/posterior presente/ausente común/raro conocido/desconocido
  ordenado/desordenado obediente/desobediente honesto/deshonesto leal/desleal igual/distinto mayor/menor
  diurno/nocturno encendido/apagado crudo/cocido suave/áspero culpable/inocente mortal/inmortal par/impar
  necesario/innecesario agradable/desagradable
`;
const NOUNS = `
  norte/sur este/oeste día/noche amigo/enemigo paz/guerra amor/odio vida/muerte principio/fin subida/bajada
  victoria/derrota verdad/mentira riqueza/pobreza alegría/tristeza éxito/fracaso luz/oscuridad
  ganancia/pérdida compra/venta virtud/defecto aumento/disminución ventaja/desventaja orden/desorden
  belleza/fealdad salud/enfermedad juventud/vejez presencia/ausencia llegada/partida confianza/desconfianza
  libertad/esclavitud valentía/cobardía silencio/ruido techo/suelo
`;
const VERBS = `
  abrir/cerrar subir/bajar entrar/salir comprar/vender dar/recibir ganar/perder reír/llorar empezar/terminar
  encender/apagar nacer/morir aceptar/rechazar recordar/olvidar construir/destruir llenar/vaciar atar/desatar
  hacer/deshacer aparecer/desaparecer amar/odiar permitir/prohibir acercar/alejar aumentar/disminuir
  mejorar/empeorar dormir/despertar hablar/callar poner/quitar mostrar/ocultar afirmar/negar unir/separar
  avanzar/retroceder calentar/enfriar limpiar/ensuciar tapar/destapar vestir/desvestir obedecer/desobedecer
  cargar/descargar conectar/desconectar engordar/adelgazar enseñar/aprender atacar/defender premiar/castigar
  alargar/acortar acelerar/frenar meter/sacar coser/descoser montar/desmontar inflar/desinflar
  congelar/descongelar enredar/desenredar abrochar/desabrochar ahorrar/gastar
`;
const ADVERBS = 'siempre/nunca cerca/lejos dentro/fuera arriba/abajo mucho/poco delante/detrás todo/nada alguien/nadie';

const PAIRS = [ADJECTIVES, NOUNS, VERBS, ADVERBS].flatMap((words) =>
  words.trim().split(/\s+/).map((pair) => pair.split('/') as [string, string]));

const pairOf = new Map(PAIRS.flatMap(([one, other]) => [[one, `${one}/${other}`], [other, `${one}/${other}`]]));

/** The key of the split for a word: its pair of antonyms if it has one, so that both go together; else the word. */
export function wordEntity(word: string): string {
  return pairOf.get(word) ?? word;
}

export function antonymFacts(): Fact[] {
  return PAIRS.flatMap(([one, other]) => [[one, other], [other, one]] as [string, string][]).map(([word, opposite]) =>
    fact({ family: 'antónimos', entity: wordEntity(word), subject: word }, [
      `El antónimo de ${word} es ${opposite}.`,
      `Lo contrario de ${word} es ${opposite}.`,
      `Lo opuesto a ${word} es ${opposite}.`,
      `${opposite} es el antónimo de ${word}.`,
      `Entre los antónimos, ${word} se opone a ${opposite}.`,
      `La palabra ${word} tiene por antónimo ${opposite}.`,
      `La palabra ${opposite} es la contraria de ${word}.`,
    ], [
      `¿Cuál es el antónimo de ${word}?`,
      `¿Qué es lo contrario de ${word}?`,
      ['Escribe el antónimo.', `Palabra: ${word}`],
    ]));
}

// The pair is named by its first member; each line gives a sentence and its opposite.
const SENTENCES = rows(`
  alto|la torre es alta|la torre es baja
  largo|la calle es larga|la calle es corta
  grande|la casa es grande|la casa es pequeña
  gordo|el perro está gordo|el perro está flaco
  ancho|el río es ancho|el río es estrecho
  caliente|la sopa está caliente|la sopa está fría
  rápido|el tren es rápido|el tren es lento
  fuerte|la cuerda es fuerte|la cuerda es débil
  nuevo|el coche es nuevo|el coche es viejo
  joven|el rey es joven|el rey es anciano
  rico|el vecino es rico|el vecino es pobre
  limpio|el plato está limpio|el plato está sucio
  lleno|la botella está llena|la botella está vacía
  duro|el pan está duro|el pan está blando
  seco|la ropa está seca|la ropa está mojada
  claro|la sala es clara|la sala es oscura
  fácil|el examen es fácil|el examen es difícil
  alegre|la canción es alegre|la canción es triste
  bueno|la noticia es buena|la noticia es mala
  bonito|el cuadro es bonito|el cuadro es feo
  caro|el billete es caro|el billete es barato
  abierto|la puerta está abierta|la puerta está cerrada
  verdadero|la historia es verdadera|la historia es falsa
  posible|el viaje es posible|el viaje es imposible
  útil|el consejo es útil|el consejo es inútil
  visible|la mancha es visible|la mancha es invisible
  justo|la ley es justa|la ley es injusta
  legal|el contrato es legal|el contrato es ilegal
  paciente|el médico es paciente|el médico es impaciente
  puro|el aire es puro|el aire es impuro
  perfecto|el plan es perfecto|el plan es imperfecto
  completo|la lista está completa|la lista está incompleta
  correcto|la solución es correcta|la solución es incorrecta
  seguro|el puente es seguro|el puente es inseguro
  cómodo|la silla es cómoda|la silla es incómoda
  activo|el volcán está activo|el volcán está inactivo
  sencillo|el problema es sencillo|el problema es complicado
  valiente|el soldado es valiente|el soldado es cobarde
  generoso|el abuelo es generoso|el abuelo es tacaño
  simpático|el camarero es simpático|el camarero es antipático
  listo|el zorro es listo|el zorro es tonto
  sabio|el maestro es sabio|el maestro es ignorante
  grueso|el libro es grueso|el libro es fino
  liso|la pared es lisa|la pared es rugosa
  recto|la línea es recta|la línea es curva
  pesado|la maleta es pesada|la maleta es ligera
  profundo|la herida es profunda|la herida es superficial
  cercano|el pueblo es cercano|el pueblo es lejano
  público|el jardín es público|el jardín es privado
  moderno|el edificio es moderno|el edificio es antiguo
  natural|la flor es natural|la flor es artificial
  vivo|el pez está vivo|el pez está muerto
  sano|el niño está sano|el niño está enfermo
  despierto|el bebé está despierto|el bebé está dormido
  tranquilo|el caballo está tranquilo|el caballo está nervioso
  ruidoso|el motor es ruidoso|el motor es silencioso
  optimista|el alcalde es optimista|el alcalde es pesimista
  positivo|el saldo es positivo|el saldo es negativo
  presente|el testigo está presente|el testigo está ausente
  común|el apellido es común|el apellido es raro
  conocido|el autor es conocido|el autor es desconocido
  ordenado|el armario está ordenado|el armario está desordenado
  obediente|el alumno es obediente|el alumno es desobediente
  honesto|el juez es honesto|el juez es deshonesto
  leal|el amigo es leal|el amigo es desleal
  encendido|la lámpara está encendida|la lámpara está apagada
  crudo|el arroz está crudo|el arroz está cocido
  suave|la tela es suave|la tela es áspera
  culpable|el acusado es culpable|el acusado es inocente
  mortal|el héroe es mortal|el héroe es inmortal
  necesario|el gasto es necesario|el gasto es innecesario
  agradable|el olor es agradable|el olor es desagradable
  cerca|la playa está cerca|la playa está lejos
  dentro|el gato está dentro|el gato está fuera
  abrir|la tienda abre a las nueve|la tienda cierra a las nueve
  subir|el ascensor sube|el ascensor baja
  comprar|el tendero compra fruta|el tendero vende fruta
  ganar|el equipo gana el partido|el equipo pierde el partido
  empezar|la película empieza tarde|la película termina tarde
  aceptar|el director acepta la oferta|el director rechaza la oferta
  permitir|la norma permite fumar|la norma prohíbe fumar
  siempre|el autobús siempre llega tarde|el autobús nunca llega tarde
`);

export function oppositeSentenceFacts(): Fact[] {
  const bothWays = SENTENCES.flatMap(([word, one, other]) =>
    [[word, one, other], [word, other, one]] as [string, string, string][]);
  return bothWays.map(([word, sentence, opposite]) =>
    fact({ family: 'frases contrarias', entity: wordEntity(word), subject: sentence }, [
      `Lo contrario de «${sentence}» es «${opposite}».`,
      `«${opposite}» es lo contrario de «${sentence}».`,
      `Decir «${opposite}» es lo contrario de decir «${sentence}».`,
      `La frase «${sentence}» se opone a la frase «${opposite}».`,
      `A la frase «${sentence}» se opone «${opposite}».`,
      `La frase contraria a «${sentence}» es «${opposite}».`,
    ], [
      `¿Qué es lo contrario de «${sentence}»?`,
      `Di lo contrario de «${sentence}».`,
      ['Escribe la frase contraria.', `Frase: «${sentence}»`],
    ]));
}
