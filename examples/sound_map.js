"use strict";
(() => {
  const clips = JSON.parse(document.getElementById("clips").textContent);
  const points = [...document.querySelectorAll(".point")];
  const picture = document.getElementById("picture");
  const name = document.getElementById("name");
  const about = document.getElementById("about");
  const sound = document.getElementById("sound");
  const panel = document.getElementById("panel");
  let shown = null;

  const show = (number) => {
    if (number === shown) return;
    shown = number;
    const clip = clips[number];
    picture.src = clip.picture;
    picture.alt = `Spectrogram of ${clip.name}`;
    name.textContent = clip.name;
    about.textContent = [clip.label, clip.cluster, `${clip.seconds} s`].filter(Boolean).join(" · ");
    panel.hidden = false;
    points.forEach((point, other) => {
      point.classList.toggle("shown", other === number);
      point.classList.toggle("near", clip.near.includes(other) && other !== number);
    });
  };

  const play = (number) => {
    show(number);
    points.forEach((point, other) => point.setAttribute("aria-pressed", String(other === number)));
    sound.src = clips[number].sound;
    sound.play();
  };

  points.forEach((point, number) => {
    point.addEventListener("pointerenter", () => show(number));
    point.addEventListener("focus", () => show(number));
    point.addEventListener("click", () => play(number));
    point.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      play(number);
    });
  });
})();
