// Takes a picture with the camera, which browsers allow only on localhost and over https.

export function hasCamera() {
  return Boolean(navigator.mediaDevices?.getUserMedia);
}

/** Shows the camera in a dialog; resolves to a JPEG file, or to null if the dialog is closed without a picture. */
export async function takePicture(dialog) {
  const video = dialog.querySelector("video");
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  video.srcObject = stream;
  dialog.showModal();
  try {
    return await new Promise((resolve) => {
      dialog.querySelector("#shoot").onclick = async () => {
        if (!video.videoWidth) return;
        const picture = await frame(video);
        resolve(picture);
        dialog.close();
      };
      dialog.addEventListener("close", () => resolve(null), { once: true });
    });
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    video.srcObject = null;
  }
}

function frame(video) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
