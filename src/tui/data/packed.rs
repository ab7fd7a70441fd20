use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use serde::Serialize;

/// JSON of one object, compressed (RFC 1951). Pods of one cluster say much the same in the same words, so [`WORDS`]
/// stand in front of every text: 2.5 KiB become a fifth of that.
#[derive(Clone, Debug)]
pub(in crate::tui) struct Packed {
    bytes: Box<[u8]>,
    /// Bytes of the text.
    length: usize,
}

/// What texts refer to instead of saying it again; what most of them say stands at the end.
const WORDS: &str = concat!(
    r#""initContainerStatuses":[{"allocatedResources":{"ephemeralContainers":[{"affinity":{"nodeAffinity":{"#,
    r#""tolerations":[{"effect":"NoExecute","key":"node.kubernetes.io/not-ready","operator":"Exists","tolerationSeconds":300},"#,
    r#""livenessProbe":{"failureThreshold":3,"httpGet":{"path":"/","port":8080,"scheme":"HTTP"},"periodSeconds":10,"#,
    r#""successThreshold":1,"timeoutSeconds":1},"readinessProbe":{"startupProbe":{"exec":{"command":["tcpSocket":{"#,
    r#""initialDelaySeconds":"lifecycle":{"preStop":{"postStart":{"securityContext":{"allowPrivilegeEscalation":false,"#,
    r#""capabilities":{"drop":["ALL"]},"runAsNonRoot":true,"runAsUser":1000,"seccompProfile":{"type":"RuntimeDefault"}},"#,
    r#""configMap":{"name":"secret":{"secretName":"emptyDir":{},"hostPath":{"path":"projected":{"defaultMode":420,"sources":["#,
    r#"{"serviceAccountToken":{"expirationSeconds":3607,"path":"token"}},{"configMap":{"items":[{"key":"ca.crt","path":"ca.crt"}],"#,
    r#""name":"kube-root-ca.crt"}},{"downwardAPI":{"items":[{"fieldRef":{"apiVersion":"v1","fieldPath":"metadata.namespace"},"#,
    r#""lastState":{"terminated":{"containerID":"exitCode":1,"finishedAt":"reason":"Error","reason":"Completed","reason":"OOMKilled","#,
    r#""state":{"waiting":{"message":"back-off 5m0s restarting failed container=main","reason":"CrashLoopBackOff"}},"#,
    r#"{"apiVersion":"v1","kind":"Pod","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"#,
    r#""creationTimestamp":"2026-01-02T03:04:05Z","generateName":"generation":1,"labels":{"app":"app.kubernetes.io/name":""#,
    r#""pod-template-hash":"name":"namespace":"default","ownerReferences":[{"apiVersion":"apps/v1","blockOwnerDeletion":true,"#,
    r#""controller":true,"kind":"ReplicaSet","name":"uid":"}],"resourceVersion":""uid":""},"spec":{"containers":[{"args":["#,
    r#""command":["env":[{"name":"value":"valueFrom":{"}],"image":"imagePullPolicy":"IfNotPresent","name":"main","ports":["#,
    r#"{"containerPort":8080,"protocol":"TCP"}],"resources":{"limits":{"cpu":"200m","memory":"512Mi"},"requests":{"cpu":"100m","#,
    r#""memory":"256Mi"}},"terminationMessagePath":"/dev/termination-log","terminationMessagePolicy":"File","volumeMounts":["#,
    r#"{"mountPath":"/var/run/secrets/kubernetes.io/serviceaccount","name":"readOnly":true}]}],"dnsPolicy":"ClusterFirst","#,
    r#""enableServiceLinks":true,"nodeName":"preemptionPolicy":"PreemptLowerPriority","priority":0,"restartPolicy":"Always","#,
    r#""schedulerName":"default-scheduler","securityContext":{},"serviceAccount":"default","serviceAccountName":"default","#,
    r#""terminationGracePeriodSeconds":30,"volumes":[{"name":"}]},"status":{"conditions":["#,
    r#"{"lastProbeTime":null,"lastTransitionTime":"2026-01-02T03:04:05Z","observedGeneration":1,"status":"True","#,
    r#""type":"PodReadyToStartContainers"},"type":"Initialized"},"status":"False","type":"Ready"},"type":"ContainersReady"},"#,
    r#""type":"PodScheduled"}],"containerStatuses":[{"containerID":"podtui://","image":"imageID":"sha256:","lastState":{},"#,
    r#""name":"ready":true,"restartCount":0,"started":true,"state":{"running":{"startedAt":"2026-01-02T03:04:05Z"}}}],"#,
    r#""hostIP":"hostIPs":[{"ip":"}],"phase":"Running","podIP":"10.88.0.","podIPs":[{"ip":"10.88.0."}],"qosClass":"Burstable","#,
    r#""startTime":"2026-01-02T03:04:05Z"}}"#,
);

/// Kept from text to text: it is 300 KB that would have to be cleared for each.
struct Packer {
    compress: Compress,
    text: Vec<u8>,
    bytes: Vec<u8>,
}

thread_local! {
    static PACKER: RefCell<Packer> = RefCell::new(Packer {
        compress: Compress::new(Compression::fast(), false),
        text: Vec::new(),
        bytes: Vec::new(),
    });
}

impl Packed {
    /// `None` for what cannot be written as JSON.
    pub(super) fn of(object: &impl Serialize) -> Option<Self> {
        PACKER.with_borrow_mut(|packer| packer.pack(object))
    }

    /// The text again.
    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.length);
        let mut decompress = Decompress::new(false);
        let is_whole = decompress.set_dictionary(WORDS.as_bytes()).is_ok()
            && matches!(
                decompress.decompress_vec(&self.bytes, &mut text, FlushDecompress::Finish),
                Ok(Status::StreamEnd)
            );
        assert!(is_whole, "the bytes were made from a text");
        text
    }
}

impl Packer {
    fn pack(&mut self, object: &impl Serialize) -> Option<Packed> {
        self.text.clear();
        serde_json::to_writer(&mut self.text, object).ok()?;
        self.compress.reset();
        self.compress.set_dictionary(WORDS.as_bytes()).ok()?;
        self.bytes.clear();
        // More than any text can become: deflate adds five bytes to a block of 16 KiB that it cannot make smaller.
        self.bytes
            .reserve(self.text.len() + self.text.len() / 1024 + 64);
        let end = self
            .compress
            .compress_vec(&self.text, &mut self.bytes, FlushCompress::Finish);
        // A copy of its exact length: what was written into is larger.
        matches!(end, Ok(Status::StreamEnd)).then(|| Packed {
            bytes: Box::from(&*self.bytes),
            length: self.text.len(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::testing::{crashing, running};

    #[track_caller]
    fn check(value: &serde_json::Value) -> usize {
        let packed = Packed::of(value).unwrap();
        assert_eq!(packed.text(), serde_json::to_vec(value).unwrap());
        packed.bytes.len()
    }

    #[test]
    fn every_text_comes_back_as_it_was() {
        for object in [running("a"), crashing("b")] {
            let value = object.to_value();
            let length = value.to_string().len();
            assert!(check(&value) * 3 < length, "{length}");
        }
        // Nothing of one text is left in the next, whatever there is to pack.
        let noise: String = (0_u32..300_000)
            .map(|index| char::from_u32(32 + (index.wrapping_mul(2_654_435_761) >> 26)).unwrap())
            .collect();
        for text in ["", "x", &noise, WORDS, "😀"] {
            check(&serde_json::json!(text));
        }
    }
}
